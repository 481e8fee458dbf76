// What an ONNX file says of itself, and its Resize, for runtimes that leave them out.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <opencv2/core.hpp>
#include <string>
#include <string_view>

namespace onnx_file {

// Call `use` with the number and the bytes of each field of a protobuf message that has a length; skip the others.
inline void fields(std::string_view message, const std::function<void(uint64_t, std::string_view)>& use) {
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const unsigned char byte = message.at(0);
      message.remove_prefix(1);
      value |= uint64_t(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (!message.empty()) {
    const uint64_t key = varint(), kind = key & 7;
    if (kind == 0) {
      varint();
      continue;
    }
    const size_t length = std::min<uint64_t>(kind == 2 ? varint() : kind == 1 ? 8 : 4, message.size());
    if (kind == 2) use(key >> 3, message.substr(0, length));
    message.remove_prefix(length);
  }
}

// A value of metadata_props (field 14: a key is 1, a value 2).
inline std::string metadata(std::string_view file, const std::string& wanted) {
  std::string found;
  fields(file, [&](uint64_t number, std::string_view entry) {
    if (number != 14) return;
    std::string_view key, value;
    fields(entry, [&](uint64_t part, std::string_view text) { (part == 1 ? key : value) = text; });
    if (key == wanted) found = value;
  });
  return found;
}

// The antialiased bilinear filter: what each of `length` pixels gives to each of `size`.
inline cv::Mat weights(int length, int size) {
  cv::Mat all(size, length, CV_32F);
  const double scale = double(length) / size, reach = std::max(scale, 1.0);
  for (int to = 0; to < size; ++to) {
    for (int from = 0; from < length; ++from)
      all.at<float>(to, from) = float(std::max(0.0, 1 - std::abs(from + 0.5 - (to + 0.5) * scale) / reach));
    all.row(to) /= cv::sum(all.row(to))[0];
  }
  return all;
}

// Resize an RGB picture of bytes as the file does.
inline cv::Mat resized(const cv::Mat& image, int size) {
  cv::Mat pixels, bytes;
  image.convertTo(pixels, CV_32F);
  // A product of matrices works on rows, so the picture is turned for its columns.
  const auto shrink = [&] {
    pixels = cv::Mat(weights(pixels.rows, size) * pixels.reshape(1)).reshape(3);
    cv::transpose(pixels, pixels);
  };
  shrink();
  shrink();
  // A tie may come out a little below a half; the file adds the same before it rounds.
  pixels.convertTo(bytes, CV_8U, 1, 1.5e-4);
  return bytes;
}

}  // namespace onnx_file
