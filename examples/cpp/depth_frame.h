// A depth message of depthstream: its header, the checks, and a distance by column and row. C++17, nothing else.
// The format is described in docs/reference/wire.md; take this file into your own program as it is.
//
//   depthstream::Frame frame;
//   const char* fault = depthstream::parse(bytes, size, frame);
//   if (!fault) fault = frame.unreadable();
//   if (!fault) fault = frame.damaged();
//   if (!fault) fault = frame.metres_fault();
//   if (fault) stop(fault);                                  // no depth to act on
//   else stop_if_near(frame.metres(column, row));            // NaN: unknown
//
// A Frame points into the message: it is valid as long as the message is.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

static_assert(sizeof(float) == 4 && sizeof(double) == 8, "IEEE 754");
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "messages are little endian; swap the bytes of every field on this machine"
#endif

namespace depthstream {

enum Encoding : std::uint8_t { kF32 = 1, kU16 = 2, kF16 = 3, kU8x3 = 4 };
enum Compression : std::uint8_t { kRaw = 0, kZstd = 1, kDeltaZstd = 2, kPng16 = 3, kJpeg = 5 };
enum Kind : std::uint8_t { kMetric = 1, kRelativeInverse = 2, kRelative = 3, kConfidence = 4, kColour = 5 };
enum Flag : std::uint8_t {
  kHostArrival = 1,            // capture_ns is when the image reached the publisher's machine
  kRtcp = 2,                   // capture_ns is by the camera's clock
  kClockVerified = 4,
  kIntrinsicsCalibrated = 8,   // fx, fy, cx, cy were measured
  kScaleCalibrated = 16,
  kRandomWeights = 32,         // a speed test: the numbers mean nothing
  kScaleGuessed = 64           // metres are a guess: the network does not know the camera's focal length
};
enum Integrity : std::uint8_t { kClean = 0, kTainted = 1, kFrozen = 2, kBlack = 3 };

constexpr std::uint32_t kLargestSide = 16384;
constexpr float kUnknown = std::numeric_limits<float>::quiet_NaN();

struct Header {
  char topic[64];  // padded with NUL, as are the other names
  char magic[4];
  std::uint16_t version, header_bytes;
  std::uint64_t seq;
  std::int64_t capture_ns, publish_ns;  // since 1970 UTC
  std::uint32_t width, height, step, payload_bytes;
  std::uint8_t encoding, compression, kind, flags;
  float scale, z_min, z_max;
  double fx, fy, cx, cy;  // pixels, at this width and height; 0: unknown
  char frame_id[32], ros_encoding[16];
  std::uint32_t calibration_id, crc32;
  std::uint64_t server_id;
  std::uint32_t model_id;
  std::uint8_t integrity, reserved[27];
};
static_assert(sizeof(Header) == 256 && offsetof(Header, seq) == 72 && offsetof(Header, width) == 96, "layout");
static_assert(offsetof(Header, scale) == 116 && offsetof(Header, fx) == 128, "layout");
static_assert(offsetof(Header, server_id) == 216 && offsetof(Header, integrity) == 228, "layout");

namespace detail {

// The CRC-32 of zlib and PNG.
inline std::uint32_t crc32(const unsigned char* bytes, std::size_t size) {
  std::uint32_t table[256] = {};
  for (std::uint32_t i = 0; i < 256; ++i) {
    table[i] = i;
    for (int bit = 0; bit < 8; ++bit) table[i] = (table[i] >> 1) ^ (table[i] & 1 ? 0xEDB88320u : 0u);
  }
  std::uint32_t crc = 0xFFFFFFFFu;
  for (std::size_t i = 0; i < size; ++i) crc = table[(crc ^ bytes[i]) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

}  // namespace detail

struct Frame {
  Header header;
  const unsigned char* payload;

  bool metric() const { return header.kind == kMetric; }
  bool random() const { return header.flags & kRandomWeights; }
  bool guessed() const { return header.flags & kScaleGuessed; }

  // The reason why a robot must not take these numbers for distances; nullptr if the message has none.
  const char* metres_fault() const {
    if (!metric()) return "not metres";
    if (random()) return "random weights, a speed test: the numbers mean nothing";
    if (guessed()) return "the metres are a guess: give the camera's intrinsics to the publisher";
    return header.integrity == kClean ? nullptr : "the camera's image was damaged, frozen or black";
  }

  // Metres along the optical axis; NaN where they are unknown, outside the image, and for every kind but metric,
  // because relative depth has no unit. They may still be a guess or come from random weights: see metres_fault.
  float metres(std::uint32_t column, std::uint32_t row) const {
    if (!metric() || column >= header.width || row >= header.height || unreadable()) return kUnknown;
    const unsigned char* line = payload + std::size_t{row} * header.step;
    if (header.encoding == kF32) {
      float value;
      std::memcpy(&value, line + std::size_t{column} * sizeof value, sizeof value);
      return value * header.scale;
    }
    std::uint16_t value;
    std::memcpy(&value, line + std::size_t{column} * sizeof value, sizeof value);
    return value == 0 ? kUnknown : static_cast<float>(value) * header.scale;
  }

  // The reason why this file cannot read the pixels of a valid message; nullptr if it can.
  const char* unreadable() const {
    if (header.compression != kRaw) return "compressed: this reader takes raw only (publish.compression = \"raw\")";
    if (header.encoding == kF16) return "f16: this reader takes f32 and u16 (publish.encoding)";
    return header.encoding == kU8x3 ? "a colour image, not depth" : nullptr;
  }

  // Compares the payload with the header's CRC-32, if the publisher sends one (publish.checksum); nullptr if it is intact
  // or cannot be checked. It reads every byte, so call it once per frame, not once per pixel.
  const char* damaged() const {
    if (header.crc32 == 0 || detail::crc32(payload, header.payload_bytes) == header.crc32) return nullptr;
    return "the payload is damaged, its CRC-32 is another";
  }
};

namespace detail {

// Requires a NUL after the name and only NUL after that, and no control characters, which a terminal would execute.
inline bool valid_name(const char* name, std::size_t size) {
  std::size_t length = 0;
  for (; length < size && name[length]; ++length)
    if (static_cast<unsigned char>(name[length]) < 0x20 || name[length] == 0x7f) return false;
  for (std::size_t i = length; i < size; ++i)
    if (name[i]) return false;
  return length < size;
}

inline std::uint32_t pixel_bytes(std::uint8_t encoding) {
  return encoding == kF32 ? 4 : encoding == kU8x3 ? 3 : 2;
}

inline bool goes_with(std::uint8_t compression, std::uint8_t encoding) {
  if (compression == kDeltaZstd || compression == kPng16) return encoding == kU16;
  return compression == kRaw || compression == kZstd || (compression == kJpeg && encoding == kU8x3);
}

inline const char* shape_fault(const Header& h) {
  if (h.encoding < kF32 || h.encoding > kU8x3 || h.kind < kMetric || h.kind > kColour || h.integrity > kBlack)
    return "unknown encoding, kind or integrity";
  if (!goes_with(h.compression, h.encoding)) return "unknown compression, or not one of this encoding";
  if (h.width < 1 || h.width > kLargestSide || h.height < 1 || h.height > kLargestSide) return "impossible size";
  const std::uint32_t row = h.width * pixel_bytes(h.encoding);
  if (h.step < row || (h.compression != kRaw && h.step != row)) return "rows do not have this many bytes";
  if (h.compression == kRaw && std::uint64_t{h.step} * h.height != h.payload_bytes) return "not height x step bytes";
  return nullptr;
}

inline const char* meaning_fault(const Header& h) {
  if ((h.kind == kColour) != (h.encoding == kU8x3)) return "kind and encoding contradict each other";
  if (!std::isfinite(h.scale) || !std::isfinite(h.z_min) || !std::isfinite(h.z_max) || h.z_min > h.z_max ||
      h.scale < 0 || (h.scale > 0) != (h.kind == kMetric))
    return "scale or range make no sense";
  const bool none = h.fx == 0 && h.fy == 0 && h.cx == 0 && h.cy == 0;
  const bool known = h.fx > 0 && h.fy > 0 && std::isfinite(h.fx) && std::isfinite(h.fy) && std::isfinite(h.cx) &&
                     std::isfinite(h.cy);
  return none || known ? nullptr : "intrinsics make no sense";
}

}  // namespace detail

// Returns nullptr, or the fault of the header or the lengths; use a frame only after nullptr. Any bytes are safe to pass.
// The payload is not checked here: see Frame::damaged.
inline const char* parse(const void* message, std::size_t size, Frame& frame) {
  Header& h = frame.header;
  if (size < sizeof h) return "shorter than a header";
  std::memcpy(&h, message, sizeof h);
  if (std::memcmp(h.magic, "VDF1", 4) != 0 || h.version < 1) return "not a depth message";
  if (h.header_bytes < sizeof h || h.header_bytes > size) return "impossible header size";
  if (h.payload_bytes != size - h.header_bytes) return "header and message differ in size";
  if (!h.topic[0] || !detail::valid_name(h.topic, sizeof h.topic) ||
      !detail::valid_name(h.frame_id, sizeof h.frame_id) ||
      !detail::valid_name(h.ros_encoding, sizeof h.ros_encoding))
    return "a name is not padded with NUL";
  frame.payload = static_cast<const unsigned char*>(message) + h.header_bytes;
  const char* fault = detail::shape_fault(h);
  return fault ? fault : detail::meaning_fault(h);
}

}  // namespace depthstream
