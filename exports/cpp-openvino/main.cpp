// Photos to probabilities with OpenVINO (OpenCV decodes): classify MODEL.onnx PHOTO...
#include <openvino/openvino.hpp>

#include "embed.hpp"
#include "onnx_file.hpp"

int main(int count, char** words) try {
  if (count < 2) throw std::runtime_error("usage: classify MODEL.onnx PHOTO...");
  // OpenVINO keeps nothing of an ONNX file's metadata.
  const auto about = nlohmann::json::parse(onnx_file::metadata(embed::read(words[1]), "batchgender"));
  const int size = about["input_size"];
  ov::Core core;
  // Its own choice may be bfloat16, which moves the answers.
  auto model = core.compile_model(words[1], "CPU", ov::hint::inference_precision(ov::element::f32));
  auto request = model.create_infer_request();

  const auto ask = [&](const cv::Mat& image) {
    // OpenVINO's Resize doesn't antialias, so it is given nothing to resize.
    cv::Mat input = onnx_file::resized(image, size);
    request.set_tensor("image", ov::Tensor(ov::element::u8, {1, size_t(size), size_t(size), 3}, input.data));
    request.infer();
    const ov::Tensor found = request.get_tensor("probabilities");
    return std::vector<float>(found.data<float>(), found.data<float>() + found.get_size());
  };
  return embed::answer(about, count, words, ask);
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
