//! The kinds of problem that belong to no business.

use super::ProblemKind;

macro_rules! kinds {
    ($($name:ident = $slug:literal $status:literal $title:literal $explanation:literal;)*) => {
        $(
            #[doc = concat!("`", $slug, "`: ", $title, ".")]
            pub static $name: ProblemKind = ProblemKind {
                name: $slug, status: $status, title: $title, explanation: $explanation,
            };
        )*

        /// Every kind of problem that belongs to no business.
        pub static GENERAL_KINDS: &[&ProblemKind] = &[$(&$name),*];
    };
}

kinds! {
    BAD_REQUEST = "bad-request" 400 "The request cannot be read"
        "Something in the request is not as it has to be: broken JSON, a member or parameter that is unknown, missing, doubled or of the wrong shape, or a header that cannot be read. `errors` lists every fault found, at most 20, each with its place: `pointer` into the body, `parameter` of the query string, or `header`. Correct them and send the request again; nothing was done.";
    IDEMPOTENCY_KEY_MISSING = "idempotency-key-missing" 400 "The Idempotency-Key is missing"
        "Every POST needs the header Idempotency-Key with a value of your own choosing, new for each thing that you want done, for example a UUID. Sending the same request again with the same key, after a timeout for instance, does it at most once and gives the first answer again.";
    IDEMPOTENCY_KEY_MALFORMED = "idempotency-key-malformed" 400 "The Idempotency-Key cannot be read"
        "An Idempotency-Key is 1 to 255 visible ASCII characters, in double quotes or bare; both are the same key. Send it once.";
    NOT_FOUND = "not-found" 404 "There is no such thing"
        "The path names nothing that exists: either no such route, or no thing with that id. Ids are case-sensitive. If you have just made it, send the Daybook-Position of that answer with your query: it then waits until the thing can be seen.";
    METHOD_NOT_ALLOWED = "method-not-allowed" 405 "The method is not allowed here"
        "The path exists, but not with this method. The header Allow lists those that it has.";
    IDEMPOTENCY_KEY_IN_FLIGHT = "idempotency-key-in-flight" 409 "A request with this key is being worked on"
        "Another request with the same Idempotency-Key has not been answered yet. Wait a moment and send it again: you then get the answer of the first.";
    CHANGED_MEANWHILE = "changed-meanwhile" 412 "It was changed meanwhile"
        "The resource's ETag is not the one in If-Match: somebody changed it after you read it. Read it again, decide again, and send the new ETag.";
    PAYLOAD_TOO_LARGE = "payload-too-large" 413 "The body is too large"
        "A body is at most 1 MiB (1,048,576 bytes). Send less at once.";
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type" 415 "The body's media type is not understood"
        "The header Content-Type names a media type, charset or encoding that this path does not take. The header Accept lists those that it takes; text is UTF-8 and not compressed.";
    MISDIRECTED = "misdirected" 421 "The request was meant for another host"
        "The server listens for this machine only, and the Host header names something else. Use localhost or 127.0.0.1, or start the server with --host NAME. This protects against web pages that let a foreign name point to your machine.";
    UNPROCESSABLE = "unprocessable" 422 "The request breaks a rule"
        "The request can be read, but names something that does not exist or breaks a rule. `errors` says what and where. Nothing was done.";
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused" 422 "The Idempotency-Key was used for something else"
        "A request with another body has had this Idempotency-Key. Use a new key for each thing that you want done; use the same one only to repeat the very same request.";
    TOO_LARGE = "too-large" 422 "It would be too large to keep"
        "What would have to be recorded is larger than 512 KiB. Nothing was done; send less at once.";
    OVERLOADED = "overloaded" 503 "The server has too much to do"
        "A queue is full. Nothing was done. Send it again after the seconds in Retry-After.";
    UNAVAILABLE = "unavailable" 503 "A part of the server cannot be reached"
        "Something that is needed for the answer, such as the event store, does not answer now. Send it again after the seconds in Retry-After; /health/ready says more.";
    STORAGE_FULL = "storage-full" 503 "The disk is full"
        "There is no room to write on. Nothing was done. As soon as there is room again the server goes on without a restart; send it again then.";
    OUTCOME_UNKNOWN = "outcome-unknown" 503 "It is not known whether it was done"
        "The answer of the event store was lost. Send the very same request with the same Idempotency-Key again: it is done at most once, and you get the answer that you missed.";
    NOT_YET_POSTED = "not-yet-posted" 503 "The answer is not that far yet"
        "You asked, by Daybook-Position, for an answer that includes what you did before, and it was not posted in time. `wanted` is the position that you asked for, `posted` how far the rows are. Send the query again, or allow more time with Prefer: wait=N (0 to 30 seconds).";
    PROJECTION_STOPPED = "projection-stopped" 503 "The read model is no longer posted"
        "The projection behind this answer stopped at an event that it cannot read, so the position that you asked for will not be reached. /v1/projections says why. Without Daybook-Position you still get what was posted before.";
    PROJECTION_DIVERGED = "projection-diverged" 503 "The read model belongs to another history"
        "What was posted is not what stands in the event store now, for instance after a backup was restored. It has to be rebuilt: daybook rebuild NAME.";
    INTERNAL = "internal" 500 "Something went wrong inside the server"
        "This is a fault of the server, not of the request. Send it again; if it goes on, tell whoever runs the server the request_id: the log has more under it.";
}
