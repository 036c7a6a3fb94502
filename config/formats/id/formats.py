"""Indonesian as Django writes it, but for numbers: 58.33% as in exports, Markdown and plots, so that no page has both 58.33 and 58,33."""

DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = ","
