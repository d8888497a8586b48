"""Data for training and evaluation: records, published data sets, tasks, synthetic speech, mining.

Needs no torch. `records` is the type that data sets are read into, `datasets` reads them, `tasks`
loads retrieval tasks and `task_sets` makes them, `speak` and `mine` extend records.
"""
