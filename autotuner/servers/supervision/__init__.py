"""What owns, marks and ends the processes of servers."""
