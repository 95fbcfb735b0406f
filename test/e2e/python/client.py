"""Lists Muster's services by reflection, submits a task, follows it and prints its result as JSON.

Usage: python client.py ADDRESS TYPE JSON, with the generated muster/v1 on PYTHONPATH.
"""

import json
import sys

import grpc
from google.protobuf.json_format import MessageToDict
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from muster.v1 import task_pb2, task_service_pb2, task_service_pb2_grpc


def main(address: str, task_type: str, payload: str) -> None:
    with grpc.insecure_channel(address) as channel:
        services = sorted(ProtoReflectionDescriptorDatabase(channel).get_services())
        tasks = task_service_pb2_grpc.TaskServiceStub(channel)
        spec = task_pb2.TaskSpec(task_type=task_type, payload=payload.encode(), content_type="application/json")
        submitted = tasks.SubmitTasks(task_service_pb2.SubmitTasksRequest(tasks=[spec]), timeout=10)
        task_id = submitted.tasks[0].task_id
        updates = 0
        for _ in tasks.WatchTask(task_service_pb2.WatchTaskRequest(task_id=task_id), timeout=30):
            updates += 1
        task = tasks.GetTask(task_service_pb2.GetTaskRequest(task_id=task_id), timeout=10).task
        missing = None
        try:
            tasks.GetTask(task_service_pb2.GetTaskRequest(task_id="t-999999"), timeout=10)
        except grpc.RpcError as error:
            missing = error.code().name
        print(
            json.dumps(
                {
                    "services": services,
                    "id": task_id,
                    "updates": updates,
                    "state": MessageToDict(task)["state"],
                    "output": json.loads(task.output),
                    "missing": missing,
                }
            )
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
