"""Stages over whole archives on Spark: Spark plans, schedules and retries; Arrow moves pixels."""
