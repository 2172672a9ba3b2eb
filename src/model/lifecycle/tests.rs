//! The rules of a pod's life, as tables and short stories.
