"""Settings of all tests: no time limits on examples, the same examples in every run, one thread per worker."""

import torch
from hypothesis import settings

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("suite")
torch.set_num_threads(1)
