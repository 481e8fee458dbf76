"""Photos behind addresses: object stores (`s3://`, `gs://`, `az://`) and web servers (`https://`), read by fsspec.

For others: `open_places.open_places`, `listed.ListedAddresses`, `remote_file.RemoteFile`, what reading one ahead takes,
and `address.is_address`. Packages of the extra `remote` are imported here alone, and only once an address is given. All
requests run on fsspec's own thread, on one event loop.
"""
