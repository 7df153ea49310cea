"""An evaluation as one page: what it says, in charts, tables and pictures."""
