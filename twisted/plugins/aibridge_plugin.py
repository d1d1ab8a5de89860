from twisted.application.service import ServiceMaker

aibridge = ServiceMaker(
    "AI Bridge",
    "bridge.service",
    "An HTTP gateway between AI clients and AI providers that keeps an audit record.",
    "aibridge",
)
