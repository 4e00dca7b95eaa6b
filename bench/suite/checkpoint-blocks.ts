import { VisionTransformer } from "../../src/attention/transformer/vit.js";
import type { ImageModel } from "../../src/models/image-model.js";
import { MobileNet } from "../../src/models/mobilenet.js";
import { ResNet } from "../../src/models/resnet.js";
import { UNet } from "../../src/models/u-net.js";
import { checkpointed } from "../../src/nn/checkpointed.js";

/** Makes each block of a network one whose intermediates are computed again in the backward pass. @throws Error for a network without blocks */
export function checkpointBlocks(model: ImageModel): void {
  if (model instanceof VisionTransformer) {
    for (const block of model.blocks) checkpointed(block, "encode");
    return;
  }
  for (const block of blocksOf(model)) checkpointed(block);
}

function blocksOf(model: ImageModel) {
  if (model instanceof ResNet) return model.stages.flat();
  if (model instanceof MobileNet) return model.blocks;
  if (model instanceof UNet) return [...model.encoder, ...model.decoder];
  throw new Error(`the blocks of a ${model.constructor.name} are not known`);
}
