// Test program: for each message on standard input (uint32 length, bytes), one line: what depth_frame.h makes of it.
#include <cstdio>
#include <memory>

#include "depth_frame.h"

int main() {
  std::uint32_t size;
  while (std::fread(&size, sizeof size, 1, stdin) == 1) {
    const std::unique_ptr<unsigned char[]> message(new unsigned char[size]);  // no byte more: a sanitizer would see it
    if (size && std::fread(message.get(), 1, size, stdin) != size) return 1;
    depthstream::Frame frame;
    const char* fault = depthstream::parse(message.get(), size, frame);
    if (fault) {
      std::printf("refused: %s\n", fault);
      continue;
    }
    const depthstream::Header& h = frame.header;
    double sum = 0;
    for (std::uint32_t row = 0; row < h.height && !frame.unreadable(); ++row)
      for (std::uint32_t column = 0; column < h.width; ++column) {
        const float metres = frame.metres(column, row);
        if (std::isfinite(metres)) sum += static_cast<double>(metres);
      }
    const char* unread = frame.unreadable();
    std::printf("seq %llu kind %u ", static_cast<unsigned long long>(h.seq), h.kind);
    std::printf("sum %.6g ", sum);
    std::printf("beyond %g ", static_cast<double>(frame.metres(h.width, 0)));
    std::printf("corner %.9g ", static_cast<double>(frame.metres(h.width - 1, h.height - 1)));
    std::printf("%s%s", unread ? unread : "readable", frame.damaged() ? ", damaged" : "");
    std::printf("; act: %s\n", frame.metres_fault() ? frame.metres_fault() : "yes");
  }
}
