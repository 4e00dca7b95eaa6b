import { attentionFactory } from "./hosted-attention.js";
import { MobileNetV2 } from "./mobilenet-v2.js";
import { MobileNetV3, type MobileNetV3Options, mobileSqueeze } from "./mobilenet-v3.js";
import { type Network, network } from "./network.js";

function mobileNetV3(
  architecture: MobileNetV3Options["architecture"],
  about: Pick<Network, "description" | "paper">,
): Network {
  return network({
    ...about,
    task: "classification",
    imageSize: 224,
    defaults: { numClasses: 1000, inChannels: 3, attention: "se", widthMultiplier: 1 },
    build: ({ attention, ...options }) =>
      new MobileNetV3({
        architecture,
        ...options,
        attention: attentionFactory(attention, { se: mobileSqueeze }) ?? "none",
      }),
  });
}

const paperV3 = "Howard et al.: Searching for MobileNetV3, ICCV 2019, arXiv:1905.02244";

/** The networks for small devices of the registry, with torchvision's layout and keys. */
export const mobileNetworks = {
  mobilenet_v2: network({
    description: "MobileNetV2: inverted residual blocks of depthwise convolutions",
    task: "classification",
    paper:
      "Sandler, Howard, Zhu, Zhmoginov, Chen: MobileNetV2: Inverted Residuals and Linear Bottlenecks, CVPR 2018, arXiv:1801.04381, table 2",
    imageSize: 224,
    defaults: { numClasses: 1000, inChannels: 3, attention: "none", widthMultiplier: 1 },
    build: (options) => new MobileNetV2({ ...options, attention: attentionFactory(options.attention) }),
  }),
  mobilenet_v3_small: mobileNetV3("small", {
    description:
      "MobileNetV3-Small: inverted residual blocks with hard swish, squeeze-and-excitation in nine",
    paper: `${paperV3}, table 2`,
  }),
  mobilenet_v3_large: mobileNetV3("large", {
    description:
      "MobileNetV3-Large: inverted residual blocks with hard swish, squeeze-and-excitation in eight",
    paper: `${paperV3}, table 1`,
  }),
};
