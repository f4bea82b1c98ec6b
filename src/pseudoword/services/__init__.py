"""The use cases, one file per verb; the only room that combines rooms. CLI, API and UI call these and nothing below."""
