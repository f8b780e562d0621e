"""For every test: hypothesis makes no claim about seconds, which belong to the machine."""

from hypothesis import settings

settings.register_profile("project", deadline=None, max_examples=60)
settings.load_profile("project")
