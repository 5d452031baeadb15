"""The proxy task: data, feature cache, training and COCO scoring."""
