"""Training of audio retrievers; needs the extra `train`."""
