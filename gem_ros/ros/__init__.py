"""The node: subscribe, hand to the worker, publish; everything else is elsewhere."""
