import * as fovea from "fovea";
import { trainBlock } from "../train-block.js";

globalThis.trainBlock = (session) => trainBlock(fovea, session);
