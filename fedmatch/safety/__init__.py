"""Who may come near, and what is done when somebody must not: the border, and reports."""
