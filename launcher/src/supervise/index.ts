/** The supervisor of one worker process. */
export { CLOUDS, type NoticeSettings } from "../notices/notice.ts";
export { noticeSettings } from "../notices/notice-settings.ts";
export { SetupError } from "../setup-error.ts";
export { DEFAULT_RESTART_TIMINGS, RESTART_POLICIES, type RestartPolicy } from "./restart.ts";
export { type SuperviseOptions, supervise } from "./supervisor.ts";
