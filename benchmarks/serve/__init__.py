"""The server under load: goodput and waiting beside three other ways to schedule, and a soak. See `__main__`."""
