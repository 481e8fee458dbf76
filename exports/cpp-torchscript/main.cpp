// Photos to probabilities with libtorch (OpenCV decodes): classify MODEL.pt PHOTO...
// torch::jit::load runs what the file holds: give it files alone whose maker you know.
#include <torch/script.h>

#include "embed.hpp"

int main(int count, char** words) try {
  if (count < 2) throw std::runtime_error("usage: classify MODEL.pt PHOTO...");
  torch::jit::ExtraFilesMap extra{{"batchgender.json", ""}};
  torch::jit::Module module = torch::jit::load(words[1], torch::kCPU, extra);
  const torch::InferenceMode no_gradients;

  const auto ask = [&](const cv::Mat& image) {
    const auto input = torch::from_blob(image.data, {1, image.rows, image.cols, 3}, torch::kUInt8);
    const at::Tensor found = module.forward({input}).toTuple()->elements()[0].toTensor().contiguous();
    return std::vector<float>(found.data_ptr<float>(), found.data_ptr<float>() + found.numel());
  };
  return embed::answer(nlohmann::json::parse(extra["batchgender.json"]), count, words, ask);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
