"""Question answering by search over a text corpus: facts, documents, index, questions, actions, and the environment."""
