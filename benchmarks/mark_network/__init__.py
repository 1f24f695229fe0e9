"""How the weights of ``imgmatch.vision.marks.network`` were made; see README.md beside this file."""
