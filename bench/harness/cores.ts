/** The measured server has a core to itself; load, publisher and Redis share another. */
export const SERVER_CORE = 0;
export const LOAD_CORE = 1;
