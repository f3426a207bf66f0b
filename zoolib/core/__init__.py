"""What a run is: configuration, specification, events, the loop, the run folder."""
