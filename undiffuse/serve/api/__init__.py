"""HTTP: OpenAI's shapes and our own, each request a job of the engine."""
