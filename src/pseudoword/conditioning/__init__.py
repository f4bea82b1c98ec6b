"""From prompts and learned words to what the UNet is told: tokens, trigger matching, rows injected, encoder output."""
