"""Workers: several processes that serve clients for one parent, which does what is done once."""
