"""What several signals see with: keypoints and geometry, regions, brands' marks, lettering."""
