"""The service: .inr files as objects, encodes as jobs, decodes as pictures, tiles, points, meshes and sound over HTTP.

settings    what a server may do, and where it keeps things
library     .inr files by the SHA-256 of their bytes
opened      those in use, opened, within so many bytes
workers     decodes in threads: how many at once, how many wait, equal ones once
queue       jobs in a table on the disk
encoder     who does them: a process per device (worker), and a thread that tends it
watch       news of jobs for many listeners
problems    errors as problem+json (RFC 9457), of the classes of errors.py
service     all of these together, one per process
vetted      what a sent file may take to unpack
guard       who may ask, from where
watched     every request counted (metrics) and logged (logs)
protocol    HTTP/1.1 with bounds of time
site        pages for people, of what lies in pages/
planes      the pictures of a signal: images, slices, frames; parts of them at any size
pictures    codes to the bytes of a picture: mirrored, rotated, grey, black and white
sources     what files were encoded from, beside what is decoded
masks       the learned masks of a network
answers     what routes that decode share: files opened aside, answers kept, ETags, parts of answers
decoding    /v1/objects/{id}: pictures, points (queries), meshes, sound
iiif        the IIIF Image API 3.0 as pure functions; iiif_routes serves it
deepzoom    levels and tiles as pure functions; tile_routes serves /dzi and /tiles
app         the ASGI application: routes and what surrounds them
server      a process of it: sockets, signals
"""
