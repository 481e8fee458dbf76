"""Photos: where they are, the labels that their folders carry, and their pixels.

For others: `source.PhotoSource` and `photo.Photo`; `labels.LabelNames`; `path_table.read_path_table` and
`labels_file.read_labels`; `decode.decode` and `decode.to_size`;
`resize.resize`; `generated.generated_pictures`.
"""
