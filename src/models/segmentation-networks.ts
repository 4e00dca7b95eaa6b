import { network } from "./network.js";
import { UNet } from "./u-net.js";
import { unetAttention } from "./u-net-attention.js";

/** The networks of the registry that give every pixel a class. */
export const segmentationNetworks = {
  unet: network({
    description: "U-Net: four levels with skip connections, with attention-gate an Attention U-Net",
    task: "segmentation",
    paper:
      "Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015, arXiv:1505.04597, figure 1",
    imageSize: 256,
    defaults: {
      numClasses: 2,
      inChannels: 3,
      attention: "none",
      baseChannels: 64,
      depth: 4,
      upsampling: "transposed",
    },
    build: ({ attention, ...options }) => new UNet({ ...options, ...unetAttention(attention) }),
  }),
};
