// Lets Node run the TypeScript sources, in the main thread and in the worker threads that inherit this flag
// (tsx's own --import hook registers in the main thread only).
import { register } from "tsx/esm/api";

register();
