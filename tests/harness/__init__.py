"""What limpet's tests start limpet and its clients with. Python's standard library and pytest only."""
