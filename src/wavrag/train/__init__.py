"""Training kit for retrievers that hear. Needs the extra `train`; nothing else imports it."""
