"""Threads, tasks, memory and retries."""
