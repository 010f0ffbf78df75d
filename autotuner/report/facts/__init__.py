"""What a report says, before it is said in any form."""
