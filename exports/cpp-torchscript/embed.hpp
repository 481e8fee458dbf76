// What the C++ examples share: decoding, the file's self-check and the rows. The runtime is in each main.cpp.
#pragma once

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <nlohmann/json.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <stdexcept>
#include <string>
#include <vector>

namespace embed {

using Ask = std::function<std::vector<float>(const cv::Mat&)>;

inline std::string read(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw std::runtime_error(path + ": can't be read");
  return {std::istreambuf_iterator<char>(stream), {}};
}

inline std::string from_base64(const std::string& text) {
  static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string data;
  unsigned bits = 0, count = 0;
  for (char letter : text.substr(0, text.find('='))) {
    bits = bits << 6 | digits.find(letter);
    if ((count += 6) >= 8) data.push_back(static_cast<char>(bits >> (count -= 8)));
  }
  return data;
}

// `stored`, BGRA, turned as its colours are in `upright`, BGR: OpenCV turns a picture by EXIF only without its alpha.
inline cv::Mat turned(const cv::Mat& stored, const cv::Mat& upright) {
  for (int turn = 0; turn < 8; ++turn) {
    cv::Mat found = stored.clone(), colours;
    if (turn & 4) cv::transpose(found, found);
    if (turn & 2) cv::flip(found, found, 0);
    if (turn & 1) cv::flip(found, found, 1);
    cv::cvtColor(found, colours, cv::COLOR_BGRA2BGR);
    if (colours.size() == upright.size() && cv::norm(colours, upright, cv::NORM_INF) == 0) return found;
  }
  throw std::runtime_error("a transparent picture that OpenCV decodes in two ways");
}

// RGB, upright, on white where it is transparent, at its own size.
inline cv::Mat decode(std::string data) {
  const cv::Mat bytes(1, static_cast<int>(data.size()), CV_8U, data.data());
  cv::Mat image = cv::imdecode(bytes, cv::IMREAD_COLOR);
  if (image.empty()) throw std::runtime_error("no picture that OpenCV can decode");
  cv::Mat stored = cv::imdecode(bytes, cv::IMREAD_UNCHANGED);
  if (stored.channels() == 4) {
    // OpenCV multiplies colours by their alpha in a TIFF of 8 bits alone.
    const bool tiff = data.compare(0, 2, "II") == 0 || data.compare(0, 2, "MM") == 0;
    const bool multiplied = tiff && stored.depth() == CV_8U;
    // Of 16 bits the upper 8.
    if (stored.depth() == CV_16U) stored.convertTo(stored, CV_8U, 1 / 256.0, -0.498);
    stored = turned(stored, image);
    for (int y = 0; y < image.rows; ++y)
      for (int x = 0; x < image.cols; ++x) {
        const auto& pixel = stored.at<cv::Vec4b>(y, x);
        const int alpha = pixel[3], share = multiplied ? 255 : alpha;
        for (int c = 0; c < 3; ++c)
          image.at<cv::Vec3b>(y, x)[c] = cv::saturate_cast<uchar>((pixel[c] * share + 255 * (255 - alpha) + 127) / 255);
      }
  }
  cv::cvtColor(image, image, cv::COLOR_BGR2RGB);
  return image;
}

// Run the file's self-check, then print a row for each photo of the command line; the exit status.
inline int answer(const nlohmann::json& about, int count, char** words, const Ask& ask) {
  for (const auto& check : about.value("golden", nlohmann::json::array())) {
    const auto found = ask(decode(from_base64(check["png"])));
    for (size_t i = 0; i < found.size(); ++i) {
      const double apart = std::abs(found[i] - check["probabilities"][i].get<double>());
      // Not "greater": a NaN is wrong, too.
      if (!(apart <= about["golden_tolerance"].get<double>())) {
        std::fprintf(stderr, "%s: self-check failed: probabilities differ by %.4f\n", words[1], apart);
        return 1;
      }
    }
  }
  std::printf("path,prediction");
  for (std::string name : about["classes"]) {
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    std::printf(",p_%s", name.c_str());
  }
  for (int i = 2; i < count; ++i) {
    const auto found = ask(decode(read(words[i])));
    const auto best = std::max_element(found.begin(), found.end()) - found.begin();
    std::printf("\n%s,%s", words[i], about["classes"][best].get<std::string>().c_str());
    for (float p : found) std::printf(",%.6f", p);
  }
  std::printf("\n");
  return 0;
}

}  // namespace embed
