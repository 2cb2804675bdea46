;; The chat with core.async: java -cp '/usr/share/java/*' clojure.main chat.clj HOST:PORT
;;
;; One go-loop owns the room, a plain value. Everything that happens comes to it through one channel of events, and it
;; never waits: what a client is to see is offered to that client's own channel, and a client whose channel is full is
;; disconnected. Sockets block, so each client has two threads and no go block: one reads from its socket and puts into
;; the channel of events, the other takes from its channel and writes to its socket.
;;
;; It keeps some simplifications of the textbooks. A line of any length is held in memory. Escape sequences pass. A
;; client that closes its half and then reads nothing more keeps its socket until TCP gives up. The rules below log what
;; they do, so they are pure but for that.

(ns chat
  (:require
   [clojure.core.async :as async :refer [<! <!! >!! alts!! chan close! go-loop offer! poll! thread timeout]]
   [clojure.java.io :as io]
   [clojure.string :as str])
  (:import
   (java.io IOException)
   (java.net InetAddress ServerSocket Socket)))

(set! *warn-on-reflection* true)

(def max-announced
  "In a larger room nobody's coming and going is announced."
  200)

(def max-waiting
  "Lines that may wait for one client."
  8192)

(def logging? (not= "off" (System/getenv "CHAT_LOG")))

;; The log loses its oldest lines rather than make the room wait for a terminal.
(def log-lines (chan (async/sliding-buffer 1024)))

(defn log [& words]
  (when logging?
    (async/put! log-lines (str/join words))))

;;; The room. Each function takes a room and returns the next one, with what is to be sent as mail in it.

(def empty-room
  {:clients {}                                          ; by number
   :names (sorted-map-by String/CASE_INSENSITIVE_ORDER) ; to numbers, so that no two names differ in case alone
   :mail []})                                           ; pairs of a client and a line, or :end

(defn tell [room number line]
  (update room :mail conj [(get-in room [:clients number]) line]))

(defn broadcast [room line]
  (update room :mail into (map #(vector % line)) (vals (:clients room))))

(defn announce [room size line]
  (if (<= size max-announced) (broadcast room line) room))

(defn here
  "Everyone who is here, or as many names as fit."
  [{:keys [names]} columns]
  (loop [line (str "*** " (count names) " here: ")
         separator ""
         [name & others] (keys names)
         unnamed (count names)]
    (let [more (str " … and " unnamed " more")
          longer (str line separator name)]
      (cond
        (nil? name) line
        (> (+ (count longer) (if others (count more) 0)) columns) (str line more)
        :else (recur longer ", " others (dec unnamed))))))

(defn join [room {:keys [number name] :as client}]
  (as-> room room
    (announce room (inc (count (:clients room))) (str "*** " name " joined"))
    (assoc-in room [:clients number] client)
    (assoc-in room [:names name] number)
    (tell room number (str "*** Welcome to chat-server! You are " name "."))
    (tell room number "*** Any text is for everyone. Or: /nick NAME, /list, /msg NAME TEXT, /quit")
    (tell room number (here room 80))))

(defn leave [room number hears-it?]
  (let [{:keys [name] :as client} (get-in room [:clients number])
        size (count (:clients room))
        without (fn [room]
                  (-> room
                      (update :clients dissoc number)
                      (update :names dissoc name)))
        line (str "*** " name " left")]
    (log name " disconnected")
    (-> (if hears-it?
          (-> room (announce size line) without)
          (-> room without (announce size line)))
        (update :mail conj [client :end]))))

(defn say [room {:keys [name]} text]
  (log name ": " text)
  (broadcast room (str "<" name "> " text)))

(defn whisper [room {:keys [number name]} [to text]]
  (let [recipient (get-in room [:names (str to)])
        to-name (get-in room [:clients recipient :name])]
    (cond
      (str/blank? text) (tell room number "!!! Usage: /msg NAME TEXT")
      (nil? recipient) (tell room number (str "!!! No one here is called " to "."))
      :else (do
              (log name " wrote to " to-name " privately")
              (-> room
                  (tell recipient (str "[" name " -> you] " text))
                  (tell number (str "[you -> " to-name "] " text)))))))

(defn rename [room {:keys [number name]} wanted]
  (cond
    (not (re-matches #"[\p{L}\p{N}_-]{1,20}" wanted))
    (tell room number "!!! A name is 1 to 20 letters, digits, - and _")

    (and (re-matches #"(?i)guest[0-9]*" wanted) (not (.equalsIgnoreCase (str "guest" number) wanted)))
    (tell room number (str "!!! " wanted " is for the guest with that number."))

    (not= number (get-in room [:names wanted] number))
    (tell room number (str "!!! " wanted " is taken."))

    :else
    (do
      (log name " is now " wanted)
      (-> room
          (update :names dissoc name)
          (assoc-in [:names wanted] number)
          (assoc-in [:clients number :name] wanted)
          (broadcast (str "*** " name " is now " wanted))))))

(defn obey [room {:keys [number] :as client} line]
  (let [typed (str/trim line)
        [word rest] (str/split typed #"\s+" 2)]
    (cond
      (= typed "") room
      (str/starts-with? typed "//") (say room client (subs typed 1))
      (str/starts-with? typed "/") (case word
                                     "/nick" (rename room client (str rest))
                                     "/list" (tell room number (here room 4000))
                                     "/msg" (whisper room client (str/split (str rest) #"\s+" 2))
                                     "/quit" (leave room number true)
                                     (tell room number (str "!!! There is no command " word
                                                            ". To say it as text, type /" word)))
      :else (say room client line))))

(defn stop [room]
  (let [room (broadcast room "*** The server is shutting down. Goodbye!")]
    (update room :mail into (map #(vector % :end)) (vals (:clients room)))))

(defn step [room [what number detail]]
  (let [client (get-in room [:clients number])]
    (if (or client (= what :joined))
      (case what
        :joined (join room detail)
        :said (obey room client detail)
        :left (leave room number false))
      room))) ; It has left; what it said after /quit is not heard.

;;; The world around the room: sockets, threads and channels.

(defn deliver! [[{:keys [lines ^Socket socket]} line]]
  (cond
    (= line :end) (close! lines)
    ;; Too slow. Its reading thread finds the socket closed, and then it leaves.
    (not (offer! lines line)) (.close socket)))

(defn run-room!
  "Returns a channel that gets the last clients, after the event :stop."
  [events]
  (go-loop [room empty-room]
    (let [event (<! events)
          stops? (= event [:stop])
          {:keys [mail] :as room} (if stops? (stop room) (step room event))]
      (run! deliver! mail)
      (if stops?
        (vals (:clients room))
        (recur (assoc room :mail []))))))

(defn read-lines! [events number ^Socket socket]
  (try
    (doseq [line (line-seq (io/reader (.getInputStream socket)))]
      (>!! events [:said number line]))
    (catch IOException _) ; The connection broke: the client is gone, as if it had hung up.
    (finally (>!! events [:left number]))))

(defn write-lines! [lines ^Socket socket]
  (try
    (with-open [socket socket
                writer (io/writer (.getOutputStream socket))]
      (try
        (loop []
          (when-let [^String line (or (poll! lines)
                                      (do (.flush writer) (<!! lines)))]
            (.write writer line)
            (.write writer "\n")
            (recur)))
        (catch IOException _
          ;; The client reads no more. What it has said is still read, and then it leaves.
          (while (<!! lines)))))
    (catch IOException _))) ; Closing flushes, and fails again.

(defn serve! [events number ^Socket socket]
  (.setTcpNoDelay socket true)
  (let [lines (chan max-waiting)
        name (str "guest" number)
        written (thread (write-lines! lines socket))]
    (log name " connected from " (.getRemoteSocketAddress socket))
    (>!! events [:joined number {:number number :name name :lines lines :socket socket :written written}])
    (thread (read-lines! events number socket))))

(defn accept!
  "The next connection. Where accept fails, most likely no descriptor is left, so it rests and tries again."
  [^ServerSocket listener]
  (or (try (.accept listener)
           (catch IOException e
             (log "cannot accept: " (.getMessage e))
             nil))
      (do (Thread/sleep 100)
          (recur listener))))

(defn say-goodbye!
  "All together have two seconds to read their last lines."
  [events clients]
  (>!! events [:stop])
  (let [patience (timeout 2000)]
    (doseq [{:keys [written]} (<!! clients)]
      (alts!! [written patience]))))

(defn -main [address]
  (let [[host port] (str/split address #":")
        listener (ServerSocket. (parse-long port) 1024 (InetAddress/getByName host))
        events (chan 1024)
        clients (run-room! events)]
    (println "Chat server started...")
    (println (str "Listening on " host ":" (.getLocalPort listener)))
    (thread (run! println (repeatedly #(<!! log-lines))))
    (.addShutdownHook (Runtime/getRuntime) (Thread. #(say-goodbye! events clients)))
    (run! #(serve! events % (accept! listener)) (rest (range)))))

(-main (or (first *command-line-args*) "127.0.0.1:12345"))
