"""What the ports of a host answer a client: HOST PORTS (JSON) [TOKEN]. Prints {port: {what was asked: what came}}.

A port that can't be reached has no answers; one that speaks neither gRPC nor HTTP has the word of that.
"""

import http.client
import json
import socket
import sys

import grpc

# A method of each of Ray's services, and the health check that gRPC servers have.
METHODS = (
    "/ray.rpc.NodeInfoGcsService/GetClusterId",
    "/ray.rpc.InternalKVGcsService/InternalKVGet",
    "/ray.rpc.NodeManagerService/GetNodeStats",
    "/ray.rpc.ObjectManagerService/Pull",
    "/ray.rpc.CoreWorkerService/GetCoreWorkerStats",
    "/ray.rpc.RayletDriver/ClusterInfo",
    "/ray.rpc.ReporterService/HealthCheck",
    "/grpc.health.v1.Health/Check",
)
PATHS = ("/", "/metrics", "/api/v0/nodes", "/api/jobs/")
WITHIN_S = 5.0


def ask(host: str, port: int, token: str | None) -> dict[str, str]:
    try:
        socket.create_connection((host, port), timeout=WITHIN_S).close()
    except OSError:
        return {}
    answers = {}
    metadata = [("authorization", f"Bearer {token}")] if token else []
    with grpc.insecure_channel(f"{host}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        for method in METHODS:
            try:
                channel.unary_unary(method)(b"", timeout=WITHIN_S, metadata=metadata)
                answers[method] = "OK"
            except grpc.RpcError as error:
                answers[method] = error.code().name
            if answers[method] in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                break  # it does not speak gRPC
    for path in PATHS:
        connection = http.client.HTTPConnection(host, port, timeout=WITHIN_S)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            answers[path] = f"{answer.status} {answer.read(40).decode(errors='replace')}"
        except (OSError, http.client.HTTPException) as error:
            answers[path] = type(error).__name__
            break
        finally:
            connection.close()
    return answers


def main(host: str, ports: str, token: str | None = None) -> None:
    sys.stdout.write(json.dumps({port: ask(host, port, token) for port in json.loads(ports)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
