"""Where parts of a step are worked on: in this process, or on a cluster. The bytes of a step are the same in both.

A step cuts its work into parts and says what is to be done with one; nothing outside of this room knows Ray.
"""
