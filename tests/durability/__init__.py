"""No record is lost or doubled, whatever is killed or stopped in the middle of a load."""
