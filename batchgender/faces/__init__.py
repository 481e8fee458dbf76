"""Faces in photos: the detector's file, where the faces are, and the square that is cut around each.

For others: `detector_file.find_detector`, `detector.open_detector`, `face_finder.FaceFinder`, `face.Face`.
"""
