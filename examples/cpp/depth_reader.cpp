// Read depth frames and print one line each: depth_reader ENDPOINT STREAM [COUNT]
//
// Needs libzmq (4.2 or newer) and depth_frame.h. It reads the newest frame and skips older ones (ZMQ_CONFLATE).

#include <zmq.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "depth_frame.h"

namespace {

constexpr int kPatienceMs = 5000;                   // without a message for this long, print a line and go on waiting
constexpr std::int64_t kLargestMessage = 64 << 20;   // a larger one closes the connection instead of exhausting our memory
const char* const kKinds[] = {"", "metric", "relative inverse", "relative", "confidence", "colour"};
const char* const kIntegrity[] = {"clean", "tainted", "frozen", "black"};

using Context = std::unique_ptr<void, int (*)(void*)>;
using Socket = std::unique_ptr<void, int (*)(void*)>;

[[noreturn]] void fail(const char* what, const char* value) {
  std::fprintf(stderr, "cannot %s %s: %s\n", what, value, zmq_strerror(zmq_errno()));
  std::exit(1);
}

template <typename T>
void set(void* socket, int option, T value) {
  if (zmq_setsockopt(socket, option, &value, sizeof value) != 0) fail("set", "a socket option");
}

Socket subscribe(void* context, const char* endpoint, const std::string& topic) {
  Socket socket(zmq_socket(context, ZMQ_SUB), zmq_close);
  if (!socket) fail("open", "a socket");
  set(socket.get(), ZMQ_CONFLATE, 1);  // keeps the newest message only; no effect after connecting
  set(socket.get(), ZMQ_MAXMSGSIZE, kLargestMessage);
  set(socket.get(), ZMQ_HEARTBEAT_IVL, 1000);  // a dead network is detected after three seconds
  set(socket.get(), ZMQ_HEARTBEAT_TIMEOUT, 3000);
  set(socket.get(), ZMQ_RECONNECT_IVL, 100);
  set(socket.get(), ZMQ_RECONNECT_IVL_MAX, 2000);
  set(socket.get(), ZMQ_RCVTIMEO, kPatienceMs);
  set(socket.get(), ZMQ_LINGER, 0);
  // Including the NUL, so that depth/cam1 does not match depth/cam10.
  if (zmq_setsockopt(socket.get(), ZMQ_SUBSCRIBE, topic.c_str(), topic.size() + 1) != 0) fail("read", topic.c_str());
  if (zmq_connect(socket.get(), endpoint) != 0) fail("connect to", endpoint);
  return socket;
}

// By this machine's clock; meaningful if that agrees with the publisher's (one machine, or NTP). Doubles do not overflow.
double age_ms(const depthstream::Header& header) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(now).count() - static_cast<double>(header.capture_ns) / 1e6;
}

std::string centre(const depthstream::Frame& frame) {
  if (!frame.metric()) return "relative";
  if (frame.random()) return "meaningless (random weights)";
  const float metres = frame.metres(frame.header.width / 2, frame.header.height / 2);
  char text[64];
  std::snprintf(text, sizeof text, "%.3f m%s", static_cast<double>(metres), frame.guessed() ? " (a guess)" : "");
  return std::isnan(metres) ? "unknown" : text;
}

// Returns false for a refused message.
bool show(const void* data, std::size_t size) {
  depthstream::Frame frame;
  const char* fault = depthstream::parse(data, size, frame);
  if (!fault) fault = frame.unreadable();
  if (!fault) fault = frame.damaged();
  if (fault) {
    std::fprintf(stderr, "refused a message of %zu bytes: %s\n", size, fault);
    return false;
  }
  const depthstream::Header& h = frame.header;
  std::printf("seq %llu  %ux%u  %s  age %.1f ms  centre %s  %s\n", static_cast<unsigned long long>(h.seq), h.width,
              h.height, kKinds[h.kind], age_ms(h), centre(frame).c_str(), kIntegrity[h.integrity]);
  std::fflush(stdout);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const long count = argc > 3 ? std::strtol(argv[3], nullptr, 10) : -1;
  if (argc < 3 || argc > 4 || count == 0 || (argc == 4 && count < 0) || std::strlen(argv[2]) > 57) {
    std::fprintf(stderr, "usage: %s ENDPOINT STREAM [COUNT]   as in: tcp://127.0.0.1:5560 front 10\n", argv[0]);
    return 2;
  }
  const Context context(zmq_ctx_new(), zmq_ctx_term);
  const Socket socket = subscribe(context.get(), argv[1], std::string("depth/") + argv[2]);
  for (long shown = 0; shown != count;) {
    zmq_msg_t message;
    zmq_msg_init(&message);
    if (zmq_msg_recv(&message, socket.get(), 0) >= 0) {
      shown += show(zmq_msg_data(&message), zmq_msg_size(&message));
    } else if (zmq_errno() == EAGAIN) {
      std::fprintf(stderr, "nothing from %s for %d s; still waiting\n", argv[1], kPatienceMs / 1000);
    } else if (zmq_errno() != EINTR) {
      fail("read from", argv[1]);
    }
    zmq_msg_close(&message);
  }
}
