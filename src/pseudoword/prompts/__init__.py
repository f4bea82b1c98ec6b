"""A1111's prompt language: text → tokens → schedule → weighted pieces. Pure, and linear in the prompt's length."""
