import worker from "./worker.js";

export const { join, Worker } = worker;
export default worker;
