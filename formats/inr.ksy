# The container of .inr files and the payloads of their tensors, as far as they can be cut without the network: formats/inr-1.0.md is the format.
# The map of HEAD is msgpack (its schema: head.schema.json) and says where a tensor begins in the joined payloads of DATA. The types named
# after codecs are for these pieces; their parameter is the number of groups g of section 3, of codec context the number of features F.
# The type tile_entry is for the entries of TILE: one after the other they fill it behind the tree, as many as the tree has tiles.
meta:
  id: inr
  title: inrcodec neural representation, version 0.1
  file-extension: inr
  ks-version: 0.9
  endian: le
  bit-endian: be
doc-ref: formats/inr-1.0.md
seq:
  - id: signature
    contents: [0x89, 0x49, 0x4e, 0x52, 0x0d, 0x0a, 0x1a, 0x0a]
  - id: chunks
    type: chunk
    repeat: eos
enums:
  codec:
    0: raw_f32
    1: raw_int
    3: rans
    4: lattice
    6: rans_shared
    7: mask
    8: context
    9: context_net
    10: residual
    11: tiled
types:
  chunk:
    seq:
      - id: len_payload
        type: u4
        valid:
          max: 2147483647
      - id: letters
        type: str
        size: 4
        encoding: ASCII
      - id: payload
        size: len_payload
        type:
          switch-on: letters
          cases:
            '"HEAD"': head
            '"TILE"': tile
            '"DONE"': done
      - id: crc32
        type: u4
        doc: of letters and payload, as in zlib and PNG
  head:
    doc: section 2
    seq:
      - id: major
        type: u1
        valid: 0
      - id: minor
        type: u1
      - id: map
        size-eos: true
        doc: canonical msgpack
  tile:
    doc: section 13
    seq:
      - id: root
        type: node
      - id: entries
        size-eos: true
        doc: what each is depends on HEAD, see tile_entry
  node:
    doc: a tile, or a split of its box in two
    seq:
      - id: kind
        type: u1
        valid:
          max: 4
        doc: 0 is a tile, others 1 + the axis of a split
      - id: place
        type: leb128
        if: kind != 0
        doc: samples of the whole grid before it
      - id: parts
        type: node
        repeat: expr
        repeat-expr: 2
        if: kind != 0
  tile_entry:
    params:
      - id: num_tensors
        type: u4
        doc: of codec tiled in HEAD.tens; one more where the tile has a context network of its own
      - id: num_channels
        type: u4
    seq:
      - id: tensors
        type: tile_tensor
        repeat: expr
        repeat-expr: num_tensors
      - id: scales
        type: f4
        repeat: expr
        repeat-expr: num_channels
      - id: offsets
        type: f4
        repeat: expr
        repeat-expr: num_channels
  tile_tensor:
    seq:
      - id: codec
        type: u1
        valid:
          any-of: [0, 1, 3, 4, 6, 8, 9]
      - id: len_payload
        type: leb128
  done:
    seq:
      - id: nothing
        size: 0
  raw_f32:
    seq:
      - id: values
        type: f4
        repeat: eos
  raw_int:
    params:
      - id: num_groups
        type: u4
    seq:
      - id: step_codes
        type: s1
        repeat: expr
        repeat-expr: num_groups
      - id: width
        type: u1
        valid:
          any-of: [1, 2, 4]
      - id: symbols
        size-eos: true
        doc: integers of this width, two's complement
  rans:
    params:
      - id: num_groups
        type: u4
    seq:
      - id: step_codes
        type: s1
        repeat: expr
        repeat-expr: num_groups
      - id: models
        type: model
        repeat: expr
        repeat-expr: num_groups
      - id: symbols
        type: stream
  lattice:
    seq:
      - id: bound
        type: u1
        valid:
          min: 1
      - id: num_low_bits
        type: u1
        valid:
          max: 24
      - id: bits
        size-eos: true
        doc: Golomb-Rice codes, from the high bit of each byte on
  rans_shared:
    seq:
      - id: base
        type: s1
      - id: step_model
        type: model
      - id: symbol_model
        type: model
      - id: numbers
        type: stream
        doc: step codes less the base, then symbols
  mask:
    seq:
      - id: frame
        size-eos: true
        doc: one zstd frame of bits
  context:
    params:
      - id: num_features
        type: u4
    seq:
      - id: step_codes
        type: s1
        repeat: expr
        repeat-expr: num_features
      - id: symbols
        type: stream
  context_net:
    seq:
      - id: num_neurons
        type: u1
        valid:
          min: 1
          max: 64
      - id: weight_model
        type: model
      - id: weights
        type: stream
  residual:
    doc: not for an empty payload, which is a residual of zeros
    seq:
      - id: num_low_bits
        type: u1
        valid:
          max: 16
      - id: len_net
        type: leb128
      - id: net
        size: len_net.value
        type: context_net
      - id: bands
        size-eos: true
        doc: per band a length and a stream per channel, then low bits
  tiled:
    doc: every tile has this tensor for itself
    seq:
      - id: nothing
        size: 0
  model:
    doc: section 5
    seq:
      - id: zero_code
        type: u1
        valid:
          max: 63
      - id: decay_code
        type: u1
        valid:
          max: 63
  stream:
    doc: section 6
    seq:
      - id: log2_lanes
        type: u1
        valid:
          max: 10
      - id: num_words
        type: leb128
      - id: states
        type: u4
        repeat: expr
        repeat-expr: 1 << log2_lanes
        valid:
          min: 65536
      - id: words
        type: u2
        repeat: expr
        repeat-expr: num_words.value
      - id: escapes
        type: leb128
        repeat: eos
  leb128:
    doc: seven bits a byte, the low ones first; five bytes at most
    seq:
      - id: groups
        type: group
        repeat: until
        repeat-until: not _.has_more
    instances:
      upper:
        value: '(groups.size > 3 ? groups[3].low << 21 : 0) + (groups.size > 4 ? groups[4].low << 28 : 0)'
      value:
        value: 'groups[0].low + (groups.size > 1 ? groups[1].low << 7 : 0) + (groups.size > 2 ? groups[2].low << 14 : 0) + upper'
  group:
    seq:
      - id: has_more
        type: b1
      - id: low
        type: b7
