;; The chat server as core.async would have it: what anybody says goes into one channel, a mult copies it to a channel
;; per client, and the channels do all the waiting. Sockets block, so each client has two threads, not go blocks:
;; one takes from its socket and puts into the channel, the other takes from its tap and writes to its socket.

(require '[clojure.core.async :refer [<!! >!! chan close! mult tap thread untap]]
         '[clojure.java.io :as io])
(import '(java.io BufferedWriter IOException)
        '(java.net InetAddress ServerSocket Socket))

(def said (chan 64))
(def room (mult said))

(defn write-lines [^BufferedWriter writer lines]
  (try
    (loop []
      (when-let [^String line (<!! lines)]
        (.write writer line)
        (.newLine writer)
        (.flush writer)
        (recur)))
    (catch IOException _))
  ;; The room waits for every tap, so one that nobody takes from must leave the room.
  (untap room lines)
  (close! lines))

(defn converse [^Socket socket name]
  (let [lines (chan 64)]
    (try
      (with-open [socket socket
                  reader (io/reader socket)
                  writer (io/writer socket)]
        (tap room lines)
        (thread (write-lines writer lines))
        (>!! said (str "*** " name " joined"))
        (doseq [line (line-seq reader)]
          (>!! said (str "<" name "> " line))))
      (catch IOException _))
    (untap room lines)
    (close! lines)
    (>!! said (str "*** " name " left"))))

(let [port (parse-long (first *command-line-args*))
      listener (ServerSocket. port 0 (InetAddress/getLoopbackAddress))]
  (println "Chat server started...")
  (doseq [number (rest (range))]
    (let [socket (.accept listener)]
      (thread (converse socket (str "guest" number))))))
