"""One module for each command of ``gem-ros``, thin."""
